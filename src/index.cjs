/** The public surface for `require`: the ES module itself, so that there is one of everything. */
module.exports = require("./index.js");
