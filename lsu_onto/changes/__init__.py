"""Two versions of a taxonomy: what breaks between them."""
