"""Parts that all others use: errors, params, parallel work, progress, tracking, files."""
