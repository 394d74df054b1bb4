"""What the three services share: problem bodies, health, life cycle, the gunicorn process."""
