"""A window that shows a film as it goes on, by Tk, which comes with most Pythons."""

from __future__ import annotations

from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from aadn.errors import MissingDependencyError


class Window:
    """A window for frames.

    Attributes:
        open: whether it is still there; it goes with its cross, q or Escape.
    """

    def __init__(self, title: str) -> None:
        """Open it; MissingDependencyError without Tk or without a screen."""
        try:
            import tkinter

            from PIL import ImageTk
        except ImportError:
            raise MissingDependencyError(
                "a window needs Python's tkinter, on Debian and Ubuntu the package python3-tk; "
                "leave out --show, or write a film with --out"
            ) from None
        try:
            self._root: Any = tkinter.Tk()
        except tkinter.TclError as error:
            raise MissingDependencyError(
                f"there is no screen for a window ({error}); leave out --show, or write a film "
                "with --out"
            ) from None
        self.open = True
        self._picture = ImageTk.PhotoImage
        self._root.title(title)
        self._label: Any = tkinter.Label(self._root, borderwidth=0)
        self._label.pack()
        for what in ("<q>", "<Escape>"):
            self._root.bind(what, lambda _: self.close())
        self._root.protocol("WM_DELETE_WINDOW", self.close)

    def show(self, image: NDArray[np.uint8]) -> None:
        """Show a frame (H, W, 3) RGB, smaller where the screen is, and answer keys."""
        picture = PIL.Image.fromarray(image)
        picture.thumbnail((self._root.winfo_screenwidth(), self._root.winfo_screenheight() - 100))
        shown = self._picture(picture, master=self._root)
        self._label.configure(image=shown)
        self._label.image = shown  # Tk keeps no reference of its own
        self._root.update()

    def close(self) -> None:
        """Close it."""
        if self.open:
            self.open = False
            self._root.destroy()
