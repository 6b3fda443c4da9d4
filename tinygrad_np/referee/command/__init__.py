"""The referee as a command: somebody's file or notebook goes in, a verdict and a page come out."""
