"""Who the customers are: their profile at a cutoff and what they are worth."""
