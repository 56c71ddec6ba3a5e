"""What the HTML pages share: the page, its charts and pictures."""
