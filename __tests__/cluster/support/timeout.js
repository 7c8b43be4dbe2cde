// What a real node does takes minutes; a hang still ends.
jest.setTimeout(30 * 60 * 1000);
