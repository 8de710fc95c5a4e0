"""What a file, or what a URL leads to, really is: from its headers and packets, never from its name."""
