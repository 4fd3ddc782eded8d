"""What to do about it: lists of customers that leave an analysis."""
