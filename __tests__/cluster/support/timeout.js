// Milliseconds. A real node takes minutes for many things, but a test that hangs must still end.
jest.setTimeout(30 * 60 * 1000);
