# Completions of pynetstrat for bash. Made by ./build.sh manual.
_pynetstrat() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local command='' options='' words='' kind='' ended='' word
    # "=" is a word of its own.
    if [ "$previous" = = ]; then
        previous=${COMP_WORDS[COMP_CWORD - 2]}
    elif [ "$current" = = ]; then
        current=''
    fi
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case $command/$word in
        */--) ended=1 ;;
        '/up' | \
        '/down' | \
        '/stats' | \
        '/top' | \
        '/strategies' | \
        '/run' | \
        '/network' | \
        'network/set-up' | \
        'network/tear-down' | \
        'network/check' | \
        '/egress' | \
        'egress/enable' | \
        'egress/disable' | \
        'egress/show' | \
        '/oci-hook' | \
        '/cni' | \
        '/cni-install' | \
        '/exporter' | \
        '/diagnose' | \
        '/demo') command=${command:+$command }$word ;;
        esac
    done
    case $command/$previous in
    'up/--netns') kind='namespace' ;;
    'up/--pid') kind='process' ;;
    'down/--netns') kind='namespace' ;;
    'down/--pid') kind='process' ;;
    'stats/--perspective') words='host container' ;;
    'stats/--watch') kind='nothing' ;;
    'stats/--count') kind='nothing' ;;
    'stats/--sort') words='name bytes packets errors dropped rx_bytes rx_packets rx_errors rx_dropped tx_bytes tx_packets tx_errors tx_dropped' ;;
    'stats/--container') kind='nothing' ;;
    'stats/--netns') kind='namespace' ;;
    'stats/--pid') kind='process' ;;
    'top/--interval') kind='nothing' ;;
    'top/--sort') words='rate rx tx packets drops errors total name' ;;
    'top/--container') kind='nothing' ;;
    'top/--labels') kind='file' ;;
    'top/--units') words='1000 1024' ;;
    'run/--netns') kind='namespace' ;;
    'run/--pid') kind='process' ;;
    'network set-up/--netns') kind='namespace' ;;
    'network set-up/--pid') kind='process' ;;
    'network set-up/--host') kind='namespace' ;;
    'network tear-down/--netns') kind='namespace' ;;
    'network tear-down/--pid') kind='process' ;;
    'network tear-down/--host') kind='namespace' ;;
    'network check/--netns') kind='namespace' ;;
    'network check/--pid') kind='process' ;;
    'network check/--host') kind='namespace' ;;
    'egress enable/--host') kind='namespace' ;;
    'egress disable/--host') kind='namespace' ;;
    'egress show/--host') kind='namespace' ;;
    'oci-hook/--allow') kind='nothing' ;;
    'oci-hook/--bridge') kind='nothing' ;;
    'oci-hook/--allow-publish') kind='nothing' ;;
    'oci-hook/--allow-sysctl') kind='nothing' ;;
    'oci-hook/--rate-in') kind='nothing' ;;
    'oci-hook/--rate-out') kind='nothing' ;;
    'exporter/--listen') kind='nothing' ;;
    'exporter/--container') kind='nothing' ;;
    'exporter/--exclude-container') kind='nothing' ;;
    'exporter/--interface') kind='nothing' ;;
    'exporter/--exclude-interface') kind='nothing' ;;
    'exporter/--labels') kind='file' ;;
    'exporter/--prefix') kind='nothing' ;;
    'exporter/--keep-ended') kind='nothing' ;;
    'exporter/--textfile') kind='file' ;;
    *)
        case $command in
        '')
            options='-h --help --version'
            words='up down stats top strategies run network egress oci-hook cni cni-install exporter diagnose demo'
            ;;
        'up')
            options='-h --help --netns --pid --json'
            kind='interface'
            ;;
        'down')
            options='-h --help --netns --pid --json'
            kind='interface'
            ;;
        'stats')
            options='-h --help --perspective --watch --count --sort --human --wide --container --netns --pid --containers --json'
            kind='interface'
            ;;
        'top')
            options='-h --help --interval --sort --reverse --container --labels --units --once --json'
            kind='nothing'
            ;;
        'strategies')
            options='-h --help --json'
            kind='nothing'
            ;;
        'run')
            options='-h --help --netns --pid --root'
            kind='program'
            ;;
        'network')
            options='-h --help'
            words='set-up tear-down check'
            ;;
        'network set-up')
            options='-h --help --netns --pid --host'
            kind='file'
            ;;
        'network tear-down')
            options='-h --help --netns --pid --host'
            kind='file'
            ;;
        'network check')
            options='-h --help --netns --pid --host'
            kind='file'
            ;;
        'egress')
            options='-h --help'
            words='enable disable show'
            ;;
        'egress enable')
            options='-h --help --host'
            kind='nothing'
            ;;
        'egress disable')
            options='-h --help --host'
            kind='nothing'
            ;;
        'egress show')
            options='-h --help --json --host'
            kind='nothing'
            ;;
        'oci-hook')
            options='-h --help --allow --bridge --allow-publish --allow-sysctl --rate-in --rate-out --isolated'
            words='createRuntime poststop'
            ;;
        'cni')
            options='-h --help'
            kind='nothing'
            ;;
        'cni-install')
            options='-h --help'
            kind='directory'
            ;;
        'exporter')
            options='-h --help --listen --container --exclude-container --interface --exclude-interface --no-routed --labels --prefix --keep-ended --textfile'
            kind='nothing'
            ;;
        'diagnose')
            options='-h --help --json'
            kind='nothing'
            ;;
        'demo')
            options='-h --help --json'
            kind='nothing'
            ;;
        esac
        ;;
    esac
    COMPREPLY=()
    if [[ $current == -* ]]; then
        [ -n "$ended" ] || mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
        return
    fi
    case $kind in
    interface) words=$(cd /sys/class/net && compgen -f) ;;
    namespace)
        words=$(cd /run/netns 2>/dev/null && compgen -f)
        [[ $current != */* ]] || compopt -o default
        ;;
    process) words=$(cd /proc && compgen -G '[0-9]*') ;;
    file) compopt -o default ;;
    directory) compopt -o dirnames ;;
    program)
        if [[ $previous == run || $previous == -* ]]; then
            words=$(compgen -c -- "$current")
        else
            compopt -o default
        fi
        ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}
complete -F _pynetstrat pynetstrat
