"""From a picture to its faces: what runs a network, what finds faces, and the two together."""
