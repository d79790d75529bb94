/** The scripts for bash and zsh: a shared function that knows the words, and each shell's own registration. */
import { type CommandWords, firstWords, shells, spellings, type Vocabulary, wordsAfter } from "./vocabulary.ts";

export function bashScript(vocabulary: Vocabulary): string {
  return `# Completion of tortie in bash: source <(tortie completion bash)
_tortie_words() { COMPREPLY=($(compgen -W "$*" -- "$_tortie_begun")); }
_tortie_files() { compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$_tortie_begun")); }
_tortie_directories() { compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -d -- "$_tortie_begun")); }
${wordFunctions(vocabulary)}
_tortie() {
  COMPREPLY=()
  # bash takes "--option=value" apart.
  local i words=() _tortie_begun="\${COMP_WORDS[COMP_CWORD]}"
  for ((i = 1; i < COMP_CWORD; i++)); do
    [[ \${COMP_WORDS[i]} == "=" ]] || words+=("\${COMP_WORDS[i]}")
  done
  [[ $_tortie_begun == "=" ]] && _tortie_begun=
  _tortie_complete "$_tortie_begun" "\${words[@]}"
}
complete -F _tortie tortie
`;
}

export function zshScript(vocabulary: Vocabulary): string {
  return `#compdef tortie
# Completion of tortie in zsh: source <(tortie completion zsh), or this text as _tortie in a directory of $fpath
_tortie_words() { compadd -- "$@"; }
_tortie_files() { _files; }
_tortie_directories() { _files -/; }
${wordFunctions(vocabulary)}
_tortie() {
  _tortie_complete "$words[CURRENT]" "\${(@)words[2,CURRENT-1]}"
}
if [ "\${funcstack[1]}" = _tortie ]; then _tortie "$@"; else compdef _tortie tortie; fi
`;
}

/** `_tortie_complete PARTIAL WORD...`: the partial word, and the words before it. */
function wordFunctions(vocabulary: Vocabulary): string {
  const { commands, groups, kinds } = vocabulary;
  const valued = new Set(commands.flatMap(({ options }) => options.filter(takesValue).flatMap(spellings)));
  return `_tortie_names() { _tortie_words $(tortie get "$1" -o name 2>/dev/null | sed 's|^[^/]*/||'); }
_tortie_complete() {
  local begun="$1" word= last= command= skip= count=0 kind=
  shift
  for word in "$@"; do
    last="$word"
    if [ -n "$skip" ]; then skip=; last=; continue; fi
    case "$word" in
      ${[...valued].join("|")}) skip=1 ;;
      -*) ;;
      *)
        case "$command" in
          "") command="$word" ;;
          ${Object.keys(groups).join("|")}) command="$command $word" ;;
          *) count=$((count + 1)); [ $count -eq 1 ] && kind="$word" ;;
        esac ;;
    esac
  done
  if [ -n "$skip" ]; then
    case "$command $last" in
${commands.flatMap(valueArms).join("\n")}
    esac
    return
  fi
  case "$begun" in
    -*)
      case "$command" in
${commands.map(({ path, options }) => `        "${path}") _tortie_words ${options.flatMap(spellings).join(" ")} ;;`).join("\n")}
        *) _tortie_words -h --help ;;
      esac
      return ;;
  esac
  case "$command" in
    "") _tortie_words ${plain(firstWords(vocabulary))} ;;
${Object.keys(groups)
  .map((group) => `    "${group}") _tortie_words ${plain(wordsAfter(vocabulary, group))} ;;`)
  .join("\n")}
${commands.flatMap((one) => positionalArm(one, kinds)).join("\n")}
  esac
}`;
}

function takesValue({ takesValue }: CommandWords["options"][number]): boolean {
  return takesValue;
}

function valueArms({ path, options }: CommandWords): readonly string[] {
  return options.flatMap((option) => {
    const what =
      option.choices === undefined ? completer(option.completes) : `_tortie_words ${option.choices.join(" ")}`;
    if (!option.takesValue || what === undefined) return [];
    const patterns = spellings(option).map((spelling) => `"${path} ${spelling}"`);
    return [`      ${patterns.join("|")}) ${what} ;;`];
  });
}

function completer(what: "file" | "directory" | undefined): string | undefined {
  return what && { file: "_tortie_files", directory: "_tortie_directories" }[what];
}

function positionalArm({ path, positionals }: CommandWords, kinds: readonly string[]): readonly string[] {
  const [first, second] = positionals.map(({ completes }) => completes);
  if (first === "shell") return [`    "${path}") [ $count -gt 0 ] || _tortie_words ${shells.join(" ")} ;;`];
  if (first !== "kind") return [];
  const names = second === "name" ? ' || _tortie_names "$kind"' : "";
  return [`    "${path}") { [ $count -eq 0 ] && _tortie_words ${kinds.join(" ")}; }${names} ;;`];
}

function plain(words: readonly (readonly [string, string])[]): string {
  return words.map(([word]) => word).join(" ");
}
