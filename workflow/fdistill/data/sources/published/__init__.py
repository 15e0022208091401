"""The papers' data sets, from the Hugging Face hub, from their authors' web pages, or from local files."""
