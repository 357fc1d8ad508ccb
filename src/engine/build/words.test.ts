import { expect, test } from "bun:test";
import { expandText, expandWord, expandWords, splitWords } from "./words.ts";

const variables = new Map([
	["a", "abc"],
	["empty", ""],
	["path", "/x/y/x"],
	["ports", "80 443"],
]);
/** `@{a}` stands for a variable in braces, which a linter takes for a template. */
const braces = (text: string) => text.replaceAll("@{", "$\u007b");
const expand = (word: string) => expandWord(braces(word), (name) => variables.get(name), "\\");

test.each([
	["plain", "plain"],
	["$a-@{a}_", "abc-abc_"],
	["$nope.", "."],
	["'$a'", "$a"],
	['"$a b"', "abc b"],
	["\\$a", "$a"],
	['"\\$a \\" \\n"', '$a " \\n'],
	["a\\ b", "a b"],
	["@{nope:-x$a}", "xabc"],
	["@{empty:-x}", "x"],
	["@{empty-x}", ""],
	["@{nope-x}", "x"],
	["@{a:+y}", "y"],
	["@{empty:+y}", ""],
	["@{empty+y}", "y"],
	["@{a:?no}", "abc"],
	["@{path#*/}", "x/y/x"],
	["@{path##*/}", "x"],
	["@{path%/*}", "/x/y"],
	["@{path%%/*}", ""],
	["@{path/x/z}", "/z/y/x"],
	["@{path//x/z}", "/z/y/z"],
	["$", "$"],
	["end\\", "end"],
])("%p is %p", (word, meaning) => {
	expect(expand(word)).toBe(meaning);
});

test.each([
	["@{nope?gone}", 'failed to process "@{nope?gone}": nope: gone'],
	["@{nope:?}", 'failed to process "@{nope:?}": nope: is not allowed to be empty'],
	["@{a^}", 'failed to process "@{a^}": unsupported modifier (^) in substitution'],
	["'a", "matching single-quote"],
	['"a', "matching double-quote"],
	["@{a:-b", "missing '}'"],
])("%p is refused", (word, text) => {
	expect(() => expand(word)).toThrow(braces(text));
});

test("another escape character leaves backslashes alone", () => {
	expect(expandWord("C:\\x`$a", (name) => variables.get(name), "`")).toBe("C:\\x$a");
});

test("a variable may hold several words, a quoted one is one", () => {
	const words = (word: string) => expandWords(word, (name) => variables.get(name), "\\");
	expect(words("$ports")).toEqual(["80", "443"]);
	expect(words('"$ports"')).toEqual(["80 443"]);
	expect(words("1$ports")).toEqual(["180", "443"]);
	expect(words("$nope")).toEqual([]);
});

test("words are split where neither quotes nor escapes hold them together", () => {
	expect(splitWords(`a=b\\ c  d="e f" g='h "i'`, "\\")).toEqual(["a=b\\ c", 'd="e f"', `g='h "i'`]);
});

test("in a here-document quotes are text, and variables are filled in between them too", () => {
	const value = (name: string) => (name === "x" ? "1" : undefined);
	// biome-ignore lint/suspicious/noTemplateCurlyInString: a Dockerfile's
	expect(expandText("'$x' \"${x:-2}\" ${y:-2} \\$x\n", value, "\\")).toBe("'1' \"1\" 2 $x\n");
});

test("patterns of many stars mean what they do with few, and take no longer", () => {
	const value = "a".repeat(2000);
	const expand = (text: string, of = value) => expandWord(text, () => of, "\\");
	const started = performance.now();
	for (const sign of ["#", "##", "%", "%%", "/"]) {
		const end = sign === "/" ? "/x}" : "}";
		expect(expand(`\${v${sign}*a*a*a*a*a*a*a*b${end}`)).toBe(value);
	}
	expect(performance.now() - started).toBeLessThan(2000);
	const text = "1.22.333.4444";
	expect(["#*.*.", "##*.*.", "%.*.*", "%%.*.*", "/.*3*./-"].map((one) => expand(`\${v${one}}`, text))).toEqual([
		...["333.4444", "4444", "1.22", "1", "1-4444"],
	]);
});
