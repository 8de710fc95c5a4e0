"""Making media fit: a recipe from the facts alone, then the work itself."""
