"""Kindle and Palm books: MOBI, AZW3 (KF8) and PalmDOC, as the MobileRead wiki describes them."""
