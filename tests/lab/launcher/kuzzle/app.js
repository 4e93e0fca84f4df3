'use strict';

// Kuzzle is a library: this is the whole of an application without anything of its own. Its settings come from
// `.kuzzlerc` in the folder that it is started in.
const { Backend } = require('kuzzle');

const app = new Backend('lab');

app.start().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
