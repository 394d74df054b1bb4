"""The gunicorn entry point of the shard service."""

import os

from app.config import ShardConfig
from app.shard import create_app

application = create_app(ShardConfig.read(os.environ))
