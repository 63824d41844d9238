"""Shell completion: what may follow the words of a command line, and the scripts that connect a shell to it."""

from collections.abc import Sequence

from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.plugins.completion_plugin import DefaultCompletionPlugin

from anirec.config.compose import conf_folder, options, with_folder

# Each shell passes the line up to the cursor, split at spaces only: bash itself would also split it at `=`.
SCRIPTS = {
    "bash": r"""
_anirec_completion() {
    local line=${COMP_LINE:0:COMP_POINT} words n last kept IFS=$' \t\n'
    last=${line##*[[:space:]]}
    read -ra words <<< "$line"
    n=${#words[@]}
    [[ -n $last ]] && ((n--))
    kept=${last%"${last##*[$COMP_WORDBREAKS]}"}   # bash replaces only what follows this part
    IFS=$'\n'
    COMPREPLY=($(COMP_WORDS=$line COMP_CWORD=$n _ANIREC_COMPLETE=complete_bash "$1" 2>/dev/null))
    COMPREPLY=("${COMPREPLY[@]#"$kept"}")
    [[ ${COMPREPLY[0]} == *[=./] ]] && compopt -o nospace
}
complete -o default -F _anirec_completion anirec
""",
    "zsh": r"""
#compdef anirec
_anirec() {
    local -a found
    local -x COMP_WORDS="${(j: :)words[1,CURRENT]}" COMP_CWORD=$((CURRENT-1)) _ANIREC_COMPLETE=complete_bash
    found=("${(@f)$($words[1] 2>/dev/null)}")
    found=(${found:#})
    if (( ${#found} )); then
        compadd -S '' -- ${(M)found:#*[=./]}
        compadd -- ${found:#*[=./]}
    else
        _files
    fi
}
compdef _anirec anirec
""",
    "fish": r"""
function _anirec_completion
    set -l words (commandline -opc) (commandline -ct)
    COMP_WORDS="$words" COMP_CWORD=(math (count $words) - 1) _ANIREC_COMPLETE=complete_bash $words[1] 2>/dev/null
end
complete -c anirec -a '(_anirec_completion)'
""",
}


def complete_override(word: str, others: Sequence[str], *, config_dir: str | None = None) -> list[str]:
    """Return the overrides that begin with `word`: groups, choices, and keys of the config of the other overrides.

    >>> complete_override("model=sv", [])
    ['model=svd', 'model=svdpp']
    >>> complete_override("model=svd,po", [])
    ['model=svd,popularity']
    >>> complete_override("model.n_", ["model=svd"])
    ['model.n_factors=']
    """
    key, is_value, values = word.partition("=")
    earlier, comma, last = values.rpartition(",")
    line = " ".join([*with_folder(config_dir), *others, f"{key}{is_value}{last}"])
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        found = DefaultCompletionPlugin(GlobalHydra.instance().config_loader())._query("config", line)
        found = [f"{one}=" if options(one) else one for one in found if "._" not in one]
    start = f"{key}{is_value}"
    return [f"{start}{earlier}{comma}{one.removeprefix(start)}" for one in found]
