"""The command line: arguments -> objects -> exit code. No logic of its own."""
