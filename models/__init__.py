"""What is built with the framework: models that do a job, each run as ``python -m models.NAME``."""
