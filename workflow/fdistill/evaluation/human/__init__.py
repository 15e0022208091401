"""Human evaluation: outputs for annotators who do not see which system wrote them, and what their ratings say."""
