"""One module per kind of engine; each imports what it runs on when it is opened."""
