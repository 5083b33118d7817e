"""Numbers in, numbers out: arithmetic of optima, of rules that papers print, and of shares and ranks."""
