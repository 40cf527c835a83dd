"""`squadlite serve`: the library over HTTP, and the page that shows it."""
