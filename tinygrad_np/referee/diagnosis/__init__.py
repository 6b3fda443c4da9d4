"""What the mistake is: relations between the numbers, and slips that reproduce them."""
