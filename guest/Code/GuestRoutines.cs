using System.Text;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Hypervisor.Guest.Code;

/// <summary>Subroutines that every embedded guest has: serial console, numbers, command line, and the end.</summary>
/// <remarks>All of them keep every register but those named; the direction flag is clear.</remarks>
internal sealed class GuestRoutines
{
    private const ushort Com1 = 0x3F8;
    private const ushort DebugExit = 0x501;
    private const ushort Pm1Control = 0x604;
    private const ushort SleepEnableS5 = 0x2000; // SLP_EN with SLP_TYP 0, the value of \_S5

    private readonly Assembler _c;
    private Label _putChar;
    private Label _putText;
    private Label _putNumber;
    private Label _findOption;
    private Label _parseNumber;
    private Label _initialize;
    private Label _end;

    /// <summary>Creates the labels; <see cref="Emit"/> writes the code.</summary>
    public GuestRoutines(Assembler c)
    {
        _c = c;
        _putChar = c.CreateLabel();
        _putText = c.CreateLabel();
        _putNumber = c.CreateLabel();
        _findOption = c.CreateLabel();
        _parseNumber = c.CreateLabel();
        _initialize = c.CreateLabel();
        _end = c.CreateLabel();
    }

    /// <summary>Sets the serial port up: 115 200 baud, 8N1, FIFO on, no interrupts.</summary>
    public void InitializeSerial() => _c.call(_initialize);

    /// <summary>Prints a constant text. Changes nothing but RSI.</summary>
    public void Print(string text)
    {
        PointAt(text, rsi);
        _c.call(_putText);
    }

    /// <summary>Prints RAX as a decimal number.</summary>
    public void PrintNumber() => _c.call(_putNumber);

    /// <summary>Stores the number behind <paramref name="name"/>= of the command line, or the default, in a variable.</summary>
    public void NumberOption(string name, uint defaultValue, uint variable)
    {
        Label absent = _c.CreateLabel();
        _c.mov(__qword_ptr[variable], (int)defaultValue);
        FindOption(name + "=");
        _c.test(rsi, rsi);
        _c.jz(absent);
        _c.call(_parseNumber);
        _c.mov(__qword_ptr[variable], rax);
        _c.Label(ref absent);
        _c.nop();
    }

    /// <summary>Stores the letter behind <paramref name="prefix"/>, or the default, in a variable.</summary>
    public void LetterOption(string prefix, char defaultValue, uint variable)
    {
        Label absent = _c.CreateLabel();
        _c.mov(__qword_ptr[variable], (int)defaultValue);
        FindOption(prefix);
        _c.test(rsi, rsi);
        _c.jz(absent);
        _c.movzx(eax, __byte_ptr[rsi]);
        _c.mov(__qword_ptr[variable], rax);
        _c.Label(ref absent);
        _c.nop();
    }

    /// <summary>Ends the guest as end= says, with <paramref name="code"/> for the debug-exit port.</summary>
    public void End(byte code)
    {
        _c.mov(eax, code);
        _c.jmp(_end);
    }

    /// <summary>Writes the subroutines.</summary>
    public void Emit()
    {
        EmitInitialize();
        EmitPutChar();
        EmitPutText();
        EmitPutNumber();
        EmitFindOption();
        EmitParseNumber();
        EmitEnd();
    }

    private void FindOption(string prefix)
    {
        PointAt(prefix, rdi);
        _c.call(_findOption);
    }

    // The text follows the call, whose return address is its address.
    private void PointAt(string text, AssemblerRegister64 register)
    {
        Label after = _c.CreateLabel();
        _c.call(after);
        _c.db([.. Encoding.ASCII.GetBytes(text), 0]);
        _c.Label(ref after);
        _c.pop(register);
    }

    private void EmitInitialize()
    {
        _c.Label(ref _initialize);
        (int Register, int Value)[] setup = [(1, 0), (3, 0x80), (0, 1), (1, 0), (3, 3), (2, 7), (4, 3)];
        foreach ((int register, int value) in setup)
        {
            _c.mov(edx, Com1 + register);
            _c.mov(al, (sbyte)value);
            _c.@out(dx, al);
        }

        _c.ret();
    }

    // AL: character.
    private void EmitPutChar()
    {
        Label wait = _c.CreateLabel();
        _c.Label(ref _putChar);
        _c.push(rdx);
        _c.push(rax);
        _c.mov(edx, Com1 + 5);
        _c.Label(ref wait);
        _c.@in(al, dx);
        _c.test(al, 0x20); // transmitter holding register empty
        _c.jz(wait);
        _c.pop(rax);
        _c.mov(edx, Com1);
        _c.@out(dx, al);
        _c.pop(rdx);
        _c.ret();
    }

    // RSI: text, zero-terminated.
    private void EmitPutText()
    {
        Label next = _c.CreateLabel();
        Label done = _c.CreateLabel();
        _c.Label(ref _putText);
        _c.push(rax);
        _c.Label(ref next);
        _c.lodsb();
        _c.test(al, al);
        _c.jz(done);
        _c.call(_putChar);
        _c.jmp(next);
        _c.Label(ref done);
        _c.pop(rax);
        _c.ret();
    }

    // RAX: number.
    private void EmitPutNumber()
    {
        Label divide = _c.CreateLabel();
        Label print = _c.CreateLabel();
        _c.Label(ref _putNumber);
        _c.push(rax);
        _c.push(rbx);
        _c.push(rcx);
        _c.push(rdx);
        _c.mov(ebx, 10);
        _c.xor(ecx, ecx);
        _c.Label(ref divide);
        _c.xor(edx, edx);
        _c.div(rbx);
        _c.push(rdx);
        _c.inc(ecx);
        _c.test(rax, rax);
        _c.jnz(divide);
        _c.Label(ref print);
        _c.pop(rax);
        _c.add(al, (sbyte)'0');
        _c.call(_putChar);
        _c.dec(ecx);
        _c.jnz(print);
        _c.pop(rdx);
        _c.pop(rcx);
        _c.pop(rbx);
        _c.pop(rax);
        _c.ret();
    }

    // RDI: "name=", zero-terminated. Out: RSI at the value, or 0. Changes RAX, RBX, RDX.
    private void EmitFindOption()
    {
        Label word = _c.CreateLabel();
        Label compare = _c.CreateLabel();
        Label skip = _c.CreateLabel();
        Label found = _c.CreateLabel();
        Label absent = _c.CreateLabel();
        _c.Label(ref _findOption);
        _c.mov(rsi, __qword_ptr[GuestMemory.StartInfo]);
        _c.mov(rsi, __qword_ptr[rsi + 0x18]); // cmdline
        _c.test(rsi, rsi);
        _c.jz(absent);

        _c.Label(ref word);
        _c.xor(ebx, ebx);
        _c.Label(ref compare);
        _c.mov(al, __byte_ptr[rdi + rbx]);
        _c.test(al, al);
        _c.jz(found);
        _c.cmp(al, __byte_ptr[rsi + rbx]);
        _c.jne(skip);
        _c.inc(rbx);
        _c.jmp(compare);

        _c.Label(ref skip);
        _c.lodsb();
        _c.test(al, al);
        _c.jz(absent);
        _c.cmp(al, (sbyte)' ');
        _c.jne(skip);
        _c.jmp(word);

        _c.Label(ref found);
        _c.add(rsi, rbx);
        _c.ret();
        _c.Label(ref absent);
        _c.xor(esi, esi);
        _c.ret();
    }

    // RSI: decimal digits. Out: RAX. Changes RDX, RSI.
    private void EmitParseNumber()
    {
        Label next = _c.CreateLabel();
        Label done = _c.CreateLabel();
        _c.Label(ref _parseNumber);
        _c.xor(eax, eax);
        _c.Label(ref next);
        _c.movzx(edx, __byte_ptr[rsi]);
        _c.sub(edx, '0');
        _c.cmp(edx, 9);
        _c.ja(done);
        _c.imul(rax, rax, 10);
        _c.add(rax, rdx);
        _c.inc(rsi);
        _c.jmp(next);
        _c.Label(ref done);
        _c.ret();
    }

    // EAX: code for debug-exit.
    private void EmitEnd()
    {
        Label halt = _c.CreateLabel();
        Label exit = _c.CreateLabel();
        _c.Label(ref _end);
        _c.cli();
        _c.cmp(__byte_ptr[GuestMemory.EndMode], (sbyte)'h');
        _c.je(halt);
        _c.cmp(__byte_ptr[GuestMemory.EndMode], (sbyte)'o');
        _c.jne(exit);
        _c.mov(edx, Pm1Control);
        _c.mov(eax, SleepEnableS5);
        _c.@out(dx, ax);
        _c.jmp(halt);
        _c.Label(ref exit);
        _c.mov(edx, DebugExit);
        _c.@out(dx, al);
        _c.Label(ref halt);
        _c.hlt();
        _c.jmp(halt);
    }
}
