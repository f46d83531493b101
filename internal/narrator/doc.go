// Package narrator lets a language model write the narrative of a report, and shows nothing that the report's facts do not support.
//
// # Model
//
// The model gets the facts of the report (rar.Report.Facts) as data, with credentials replaced by marks, and no tools. It answers with claims: JSON, whose texts name facts as {{F7}}. Code puts
// the values in. So the model never writes a number, a time or a name.
//
// # Invariants
//
// Beside placeholders, a text consists of words of a short list (vocabulary). The list has no numbers, names, negations, orders of time, or words that say how something went: such things
// are values of facts, or they are not said. Each value stands beside a word that says what it is (terms), a sentence is about one subject, and the order of values is
// checked (inPlace), since order alone can say what caused what. So a value cannot be taken for another, and an instruction that was hidden in an alert, a root cause or a justification has no
// words to get out with. Values that other people wrote are quoted, unless they are one word.
//
// A claim that breaks a rule is sent back once, with all others that do, and then dropped and counted.
//
// # How it fails
//
// A report never fails, and is never later than the limits allow, because of a model. If it is down, slow, over quota, refuses, or nothing of its answer is supported, the narrative is that
// of the rules, and its Reason says why. Calls under way, waiting callers, tokens of a day, the bytes of an answer and of the cache are bounded. A namespace has half of the queue and of the tokens
// at most. After several failures of the server in a row no call is made for a while; answers that cannot be used do not count, since what is in a report can bring them about.
// Nothing is stored: narratives are in the memory of the process.
package narrator
