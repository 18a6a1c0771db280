"""Are the pictures enough? The learning curve of a product, from its normal pictures and synthetic defects alone."""
