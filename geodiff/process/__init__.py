"""What noise is and how it is undone, on any space; knows no molecule, mesh, file or network."""
