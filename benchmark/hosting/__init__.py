"""Methods that run in an environment of their own: published packages behind the same `Method` class."""
