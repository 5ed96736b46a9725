"""`python -m chargerd` is `chargerd`."""

from chargerd.cli.chargerd import main

main()
