/**
 * Code that the build appends to a bundle: it instantiates the builtin functions of the engine and the host that the programs may call.
 *
 * The engine creates each builtin on first access, which changes its holder (`Array.prototype`, `native`). At run time that would copy the
 * holder's shape and the pages of the image that contain both. Done by the build, before the image is written, it costs nothing.
 */

/** Builtins of the language that src/host/native/image.c adds. */
const constructors = [
  "Array ArrayBuffer BigInt Boolean DataView Date Error Function JSON Map Math Number Object Promise RangeError Reflect RegExp",
  "Set String Symbol SyntaxError TypeError Uint8Array WeakMap WeakSet",
].flatMap((line) => line.split(" "));
const others = ["decodeURIComponent", "encodeURIComponent", "isFinite", "isNaN", "native", "parseFloat", "parseInt"];
const ofIterators = ["next", "return", "throw"];

/**
 * JavaScript to append to the bundle. It throws, and so fails the build, if the bundle names a builtin that Node has and the engine lacks
 * (patches/less-library.patch): `Name.name`, or `.name(` if nothing in the bundle has that name.
 */
export function makeBuiltins(bundle: string): string {
  const words = new Set(Array.from(bundle.matchAll(/\b[A-Za-z]\w*/g), ([word]) => word));
  const names = builtinNames();
  const used = [...names].filter((name) => words.has(name)).sort();
  return `{
    const used = ${JSON.stringify(used)};
    const { getPrototypeOf } = Object;
    const iterators = [[].values(), new Map().values(), new Set().values(), ""[Symbol.iterator](), "".matchAll(/./g), (function* () {})()];
    const ofIterators = iterators.map(getPrototypeOf);
    const typedArray = getPrototypeOf(Uint8Array);
    const holders = [globalThis, Function.prototype, typedArray, typedArray.prototype, ...ofIterators, ...ofIterators.map(getPrototypeOf)];
    for (const holder of holders) {
      for (const key of Reflect.ownKeys(holder)) {
        if (typeof key === "string" && !used.includes(key) && holder !== native) continue;
        const { value } = Object.getOwnPropertyDescriptor(holder, key);
        if (holder === globalThis && value !== holder && Object(value) === value) holders.push(value, value.prototype ?? value);
      }
    }
    for (const [holder, name] of ${JSON.stringify(staticsIn(bundle))}) {
      if (globalThis[holder]?.[name] === undefined) throw new Error("the engine has no " + holder + "." + name + ", which a program names");
    }
    const all = ${JSON.stringify(constructors)}.flatMap((name) => [globalThis[name], globalThis[name]?.prototype]);
    for (const name of ${JSON.stringify(methodsIn(bundle, names))}) {
      if (![...holders, ...all].some((holder) => Object(holder) === holder && Reflect.ownKeys(holder).includes(name)))
        throw new Error("the engine has no method " + name + ", which a program calls");
    }
  }\n`;
}

/** The builtins of Node that the bundle names as `Name.name`. */
function staticsIn(bundle: string): readonly (readonly string[])[] {
  const named = new Set(Array.from(bundle.matchAll(/\b([A-Z]\w*)\.(\w+)/g), ([text]) => text));
  return [...named]
    .map((text) => text.split("."))
    .filter(([holder = "", name = ""]) => Object.hasOwn(Object(Reflect.get(globalThis, holder)), name));
}

/** The builtin methods that the bundle calls and whose names it uses for nothing else. */
function methodsIn(bundle: string, names: ReadonlySet<string>): readonly string[] {
  const called = new Set(Array.from(bundle.matchAll(/\.(\w+)\(/g), ([, name = ""]) => name));
  const own = new Set(Array.from(bundle.matchAll(/(?<![\w.])\w+/g), ([name]) => name));
  return [...called].filter((name) => names.has(name) && !own.has(name));
}

/** The names of all builtins and of their properties. */
function builtinNames(): ReadonlySet<string> {
  const holders = [
    Object.getPrototypeOf(Uint8Array),
    ...constructors.map((name) => Reflect.get(globalThis, name)),
  ].flatMap((holder: object & { readonly prototype?: object }) => [holder, holder.prototype ?? holder]);
  return new Set([
    ...constructors,
    ...others,
    ...ofIterators,
    ...holders.flatMap((holder) => Object.getOwnPropertyNames(holder)),
  ]);
}
