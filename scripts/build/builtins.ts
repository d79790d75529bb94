/**
 * The end of a bundle: makes the engine's and the host's own functions that the programs may call.
 *
 * The engine makes each when it is first looked at, and changes its holder (`Array.prototype`, `native`) then. At run time that would be a copy
 * of the holder's shape, and of the pages of the image that both lie in; in the image, where it is done by the build, it costs nothing.
 */

/** Those of the language that src/host/native/image.c adds. */
const constructors = [
  "Array ArrayBuffer BigInt Boolean DataView Date Error Function JSON Map Math Number Object Promise RangeError Reflect RegExp",
  "Set String Symbol SyntaxError TypeError Uint8Array WeakMap WeakSet",
].flatMap((line) => line.split(" "));
const others = ["decodeURIComponent", "encodeURIComponent", "isFinite", "isNaN", "native", "parseFloat", "parseInt"];
const ofIterators = ["next", "return", "throw"];

/**
 * JavaScript that goes behind the bundle. It throws, and so fails the build, where the bundle names a function of the language that Node has and
 * the engine has not (patches/less-library.patch): `Name.name`, and `.name(` where nothing of the bundle is called that.
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

/** What the bundle names as `Name.name`, and Node has. */
function staticsIn(bundle: string): readonly (readonly string[])[] {
  const named = new Set(Array.from(bundle.matchAll(/\b([A-Z]\w*)\.(\w+)/g), ([text]) => text));
  return [...named]
    .map((text) => text.split("."))
    .filter(([holder = "", name = ""]) => Object.hasOwn(Object(Reflect.get(globalThis, holder)), name));
}

/** The methods of the language that the bundle calls, and has no other use for the name of. */
function methodsIn(bundle: string, names: ReadonlySet<string>): readonly string[] {
  const called = new Set(Array.from(bundle.matchAll(/\.(\w+)\(/g), ([, name = ""]) => name));
  const own = new Set(Array.from(bundle.matchAll(/(?<![\w.])\w+/g), ([name]) => name));
  return [...called].filter((name) => names.has(name) && !own.has(name));
}

/** The names of all that, and of its properties. */
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
