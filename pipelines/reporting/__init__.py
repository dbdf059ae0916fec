"""The page that ``report`` makes: templates, plots, and what policies did."""
