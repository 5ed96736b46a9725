"""Board profiles: the schema, the register map, and the files that come with the program."""
