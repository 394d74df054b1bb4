"""From files of questions to a numbered, clean, deduplicated corpus on disk."""
