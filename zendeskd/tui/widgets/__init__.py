"""What screens are made of. Widgets draw what they are given and report by messages; none of them calls the daemon."""
