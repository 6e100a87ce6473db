"""The text being edited: lines, undo, motion, ghost text and files. Nothing here draws."""
