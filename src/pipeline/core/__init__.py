"""What every part uses: errors, params, parallel work, progress, tracking, files."""
