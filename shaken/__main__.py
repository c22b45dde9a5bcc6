"""`python -m shaken` is the `shaken` command."""

from shaken.cli import main

main()
