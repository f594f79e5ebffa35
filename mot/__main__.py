"""`python -m mot` is `mot`."""

from mot.cli import main

main()
