"""The tests. They are a package, so that ``tests`` means these and never a package of that name elsewhere."""
