"""A page as a reader of its text and links sees it."""

from html.parser import HTMLParser


class Page(HTMLParser):
    """Links, tags and the text of a page."""

    def __init__(self, text):
        super().__init__()
        self.links, self.tags, self.text = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [value for key, value in attributes if key in ("src", "href")]

    def handle_data(self, data):
        self.text += data + " "
