"""What the example media are drawn and spoken with."""
