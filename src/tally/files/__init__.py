"""Files of values: what people have is read exactly, or refused whole with the remedy."""
