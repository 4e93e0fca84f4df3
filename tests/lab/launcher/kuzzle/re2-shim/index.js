'use strict';

// Stands for the package re2, which fetches or compiles a hundred files of C++: the language's own expressions, which
// know no bound on their time. Nobody matches foreign patterns in a lab.
class RE2 extends RegExp {}

module.exports = RE2;
module.exports.default = RE2;
module.exports.RE2 = RE2;
