"""One screen a module. `framed` is what all of them share."""
