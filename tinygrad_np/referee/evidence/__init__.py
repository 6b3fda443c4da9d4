"""What is known of the exact gradient, and how well."""
