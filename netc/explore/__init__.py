"""The explorer: every stage of a program on one page of HTML, linked by the lines of the text."""
