"""The papers' data sets: from the hub, from files on the web, or from local files."""
